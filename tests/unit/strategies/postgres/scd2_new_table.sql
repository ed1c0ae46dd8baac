-- create table | counts inserted | binds load_time | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  CAST(:load_time AS TIMESTAMPTZ) AS "valid_from",
  CAST(NULL AS TIMESTAMPTZ) AS "valid_to",
  CAST(TRUE AS BOOLEAN) AS "is_current",
  CAST(md5("s"."name") AS TEXT) AS "row_hash"
FROM "_ematix_source" AS "s";

-- check keys are present
SELECT
  "id"
FROM "orders"
WHERE
  (
    "id" IS NULL
  )
LIMIT 5;

-- require values
ALTER TABLE "orders"
  ALTER COLUMN "id" SET NOT NULL,
  ALTER COLUMN "valid_from" SET NOT NULL,
  ALTER COLUMN "is_current" SET NOT NULL,
  ALTER COLUMN "row_hash" SET NOT NULL;

-- check keys are unique
CREATE UNIQUE INDEX "orders_current" ON "orders"("id")
WHERE
  "is_current";
