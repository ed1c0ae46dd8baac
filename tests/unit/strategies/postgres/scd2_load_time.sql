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
    ON "t"."id" = "s"."id" AND "t"."is_current"
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

-- refuse an empty source
SELECT
  1 AS "empty"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging"
  );

-- close versions | counts closed | binds load_time
UPDATE "orders" AS "t" SET "valid_to" = CASE WHEN "t"."valid_from" < :load_time THEN :load_time ELSE "t"."valid_from" END, "is_current" = FALSE
FROM "_ematix_staging" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."is_current"
  ) AND NOT "s"."_ematix_new";

-- open versions | counts inserted | binds load_time | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  :load_time,
  NULL,
  TRUE,
  md5("s"."name")
FROM "_ematix_staging" AS "s"
WHERE
  NOT "s"."_ematix_new" IS NULL;

-- close versions | counts closed | binds load_time
UPDATE "orders" AS "t" SET "valid_to" = CASE WHEN "t"."valid_from" < :load_time THEN :load_time ELSE "t"."valid_from" END, "is_current" = FALSE
WHERE
  "t"."is_current"
  AND NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging" AS "s"
    WHERE
      "s"."id" = "t"."id"
  );

-- drop staging
DROP TABLE "_ematix_staging";
