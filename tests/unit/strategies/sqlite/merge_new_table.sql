-- create table
CREATE TABLE "orders" (
  "id" BIGINT NOT NULL,
  "name" TEXT,
  "at" TIMESTAMPTZ_TEXT(6)
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
CREATE UNIQUE INDEX "_ematix_staging_unique" ON "_ematix_staging"("id");

-- insert | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging" AS "s";

-- drop staging
DROP TABLE "_ematix_staging";

-- create index
CREATE UNIQUE INDEX "orders_key" ON "orders"("id");
