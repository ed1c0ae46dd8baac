-- stage rows | counts staged | into _ematix_staging

-- check keys are present
SELECT
  "id",
  "name"
FROM "_ematix_staging"
WHERE
  (
    "id" IS NULL OR "name" IS NULL
  )
LIMIT 5;

-- keep the latest
CREATE TEMPORARY TABLE "_ematix_staging_latest" AS
SELECT DISTINCT
  "s"."id",
  "s"."name",
  "s"."at",
  "s"."_deleted"
FROM (
  SELECT
    "id",
    "name",
    "at",
    "_deleted",
    RANK() OVER (PARTITION BY "id", "name" ORDER BY "at" DESC) AS "_rank"
  FROM "_ematix_staging"
) AS "s"
WHERE
  "s"."_rank" = 1;

-- check keys are unique
SELECT
  "id",
  "name",
  COUNT(*) AS "rows"
FROM "_ematix_staging_latest"
GROUP BY
  "id",
  "name"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- count | counts staged
SELECT
  COUNT(*)
FROM "_ematix_staging_latest";

-- check the target's keys
SELECT
  "t"."id",
  "t"."name"
FROM "orders" AS "t"
WHERE
  EXISTS(
    SELECT
      1
    FROM "_ematix_staging_latest" AS "s"
    WHERE
      (
        "s"."id" = "t"."id" AND "s"."name" = "t"."name"
      )
      AND "s"."rowid" >= :part_begin
      AND "s"."rowid" < :part_end
  )
GROUP BY
  "t"."id",
  "t"."name"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- delete | counts deleted
DELETE FROM "orders" AS "t"
WHERE
  ("t"."id", "t"."name") IN (
    SELECT
      "d"."id",
      "d"."name"
    FROM (
      SELECT DISTINCT
        "s"."id",
        "s"."name"
      FROM "_ematix_staging_latest" AS "s"
      JOIN "orders" AS "o"
        ON "s"."id" = "o"."id" AND "s"."name" = "o"."name"
      WHERE
        (
          COALESCE("s"."_deleted", FALSE)
          AND "s"."rowid" >= :part_begin
          AND "s"."rowid" < :part_end
        )
        AND (
          "o"."at" IS NULL OR "s"."at" >= "o"."at"
        )
    ) AS "d"
  );

-- update | counts updated
UPDATE "orders" AS "t" SET "at" = "s"."at"
FROM "_ematix_staging_latest" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."name" = "s"."name"
  )
  AND (
    "t"."at" IS DISTINCT FROM "s"."at"
  )
  AND (
    "t"."at" IS NULL OR "s"."at" >= "t"."at"
  )
  AND NOT COALESCE("s"."_deleted", FALSE)
  AND "s"."rowid" >= :part_begin
  AND "s"."rowid" < :part_end;

-- insert | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging_latest" AS "s"
LEFT JOIN "orders" AS "t"
  ON "t"."id" = "s"."id" AND "t"."name" = "s"."name"
WHERE
  (
    "t"."id" IS NULL AND "s"."rowid" >= :part_begin AND "s"."rowid" < :part_end
  )
  AND NOT COALESCE("s"."_deleted", FALSE);

-- drop staging
DROP TABLE "_ematix_staging_latest";

-- drop staging
DROP TABLE "_ematix_staging";
