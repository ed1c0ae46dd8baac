-- stage rows | counts staged | into _ematix_staging

-- append | counts inserted | binds since | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at"
FROM "_ematix_staging" AS "s"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "orders" AS "t"
    WHERE
      "t"."id" = "s"."id" AND "t"."at" = "s"."at" AND "t"."at" >= :since
  );

-- drop staging
DROP TABLE "_ematix_staging";
