-- create table
CREATE TABLE "orders" (
  "id" BIGINT NOT NULL,
  "name" VARCHAR,
  "at" TIMESTAMPTZ,
  "valid_from" TIMESTAMPTZ,
  "valid_to" TIMESTAMPTZ,
  "is_current" BOOLEAN,
  "row_hash" VARCHAR
);

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

-- open versions | counts inserted | binds load_time | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  :load_time,
  NULL,
  TRUE,
  "s"."row_hash"
FROM "_ematix_staging" AS "s";

-- drop staging
DROP TABLE "_ematix_staging";
