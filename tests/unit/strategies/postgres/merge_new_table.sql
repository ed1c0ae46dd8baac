-- create table | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
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

-- refuse an empty source
SELECT
  1 AS "empty"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "orders"
  );

-- require values
ALTER TABLE "orders"
ALTER COLUMN "id" SET NOT NULL;

-- check keys are unique
CREATE UNIQUE INDEX "orders_key" ON "orders"("id");
