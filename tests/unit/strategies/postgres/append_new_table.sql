-- create table | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_source" AS "s";

-- require values
ALTER TABLE "orders"
ALTER COLUMN "id" SET NOT NULL;
