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

-- keep the latest
CREATE TEMPORARY TABLE "_ematix_staging_latest" AS
SELECT DISTINCT
  "s"."id",
  "s"."name",
  "s"."at"
FROM (
  SELECT
    "id",
    "name",
    "at",
    RANK() OVER (PARTITION BY "id" ORDER BY "at" DESC) AS "_rank"
  FROM "_ematix_staging"
) AS "s"
WHERE
  "s"."_rank" = 1;

-- check keys are unique
SELECT
  "id",
  COUNT(*) AS "rows"
FROM "_ematix_staging_latest"
GROUP BY
  "id"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- count | counts staged
SELECT
  COUNT(*)
FROM "_ematix_staging_latest";

-- refuse an empty source
SELECT
  1 AS "empty"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging_latest"
  );

-- check the target's keys
SELECT
  "t"."id"
FROM "orders" AS "t"
WHERE
  EXISTS(
    SELECT
      1
    FROM "_ematix_staging_latest" AS "s"
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
FROM "_ematix_staging_latest" AS "s"
WHERE
  "t"."id" = "s"."id"
  AND (
    "t"."name" IS DISTINCT FROM "s"."name" OR "t"."at" IS DISTINCT FROM "s"."at"
  )
  AND (
    "t"."at" IS NULL OR "s"."at" >= "t"."at"
  )
  AND "s"."rowid" >= :part_begin
  AND "s"."rowid" < :part_end;

-- insert | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging_latest" AS "s"
LEFT JOIN "orders" AS "t"
  ON "t"."id" = "s"."id"
WHERE
  "t"."id" IS NULL AND "s"."rowid" >= :part_begin AND "s"."rowid" < :part_end;

-- delete | counts deleted
DELETE FROM "orders" AS "t"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging_latest" AS "s"
    WHERE
      "s"."id" = "t"."id"
  );

-- drop staging
DROP TABLE "_ematix_staging_latest";

-- drop staging
DROP TABLE "_ematix_staging";
