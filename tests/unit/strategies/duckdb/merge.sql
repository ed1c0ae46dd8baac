-- stage rows | counts staged | into _ematix_staging

-- check keys are present
SELECT
  "id"
FROM "_ematix_staging"
WHERE
  (
    "id" IS NULL
  )
LIMIT 5;

-- check keys are unique
SELECT
  "id",
  COUNT(*) AS "rows"
FROM "_ematix_staging"
GROUP BY
  "id"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- check the target's keys
SELECT
  "t"."id"
FROM "orders" AS "t"
WHERE
  EXISTS(
    SELECT
      1
    FROM "_ematix_staging" AS "s"
    WHERE
      "s"."id" = "t"."id" AND "s"."rowid" >= :part_begin AND "s"."rowid" < :part_end
  )
GROUP BY
  "t"."id"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- update | counts updated
UPDATE "orders" AS "t" SET "name" = "s"."name", "at" = "s"."at"
FROM "_ematix_staging" AS "s"
WHERE
  "t"."id" = "s"."id"
  AND (
    "t"."name" IS DISTINCT FROM "s"."name" OR "t"."at" IS DISTINCT FROM "s"."at"
  )
  AND "s"."rowid" >= :part_begin
  AND "s"."rowid" < :part_end;

-- insert | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging" AS "s"
LEFT JOIN "orders" AS "t"
  ON "t"."id" = "s"."id"
WHERE
  "t"."id" IS NULL AND "s"."rowid" >= :part_begin AND "s"."rowid" < :part_end;

-- drop staging
DROP TABLE "_ematix_staging";
