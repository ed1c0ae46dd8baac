-- stage rows | counts staged | into _ematix_staging
SELECT
  "s"."id",
  CASE WHEN NOT "s"."_ematix_new" IS NULL THEN "s"."name" END AS "name",
  CASE WHEN NOT "s"."_ematix_new" IS NULL THEN "s"."at" END AS "at",
  "s"."_ematix_new"
FROM (
  SELECT
    "s"."id",
    "s"."name",
    "s"."at",
    CASE
      WHEN "t"."id" IS NULL
      THEN TRUE
      WHEN (
        "t"."name" IS DISTINCT FROM "s"."name" OR "t"."at" IS DISTINCT FROM "s"."at"
      )
      THEN FALSE
    END AS "_ematix_new"
  FROM "_ematix_source" AS "s"
  LEFT JOIN "orders" AS "t"
    ON "t"."id" = "s"."id"
  OFFSET 0
) AS "s";

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
CREATE UNIQUE INDEX "_ematix_staging_unique" ON "_ematix_staging"("id");

-- update | counts updated
UPDATE "orders" AS "t" SET "name" = "s"."name", "at" = "s"."at"
FROM "_ematix_staging" AS "s"
WHERE
  "t"."id" = "s"."id" AND NOT "s"."_ematix_new";

-- insert | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging" AS "s"
WHERE
  "s"."_ematix_new";

-- drop staging
DROP TABLE "_ematix_staging";
