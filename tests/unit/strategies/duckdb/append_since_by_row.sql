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
    FROM (
      SELECT
        "t"."id",
        "t"."name",
        "t"."at",
        COUNT(*) AS "_times"
      FROM "orders" AS "t"
      WHERE
        "t"."at" >= :since
      GROUP BY
        "t"."id",
        "t"."name",
        "t"."at"
    ) AS "p"
    WHERE
      "s"."id" IS NOT DISTINCT FROM "p"."id"
      AND "s"."name" IS NOT DISTINCT FROM "p"."name"
      AND "s"."at" IS NOT DISTINCT FROM "p"."at"
  )
UNION ALL
SELECT
  "n"."id",
  "n"."name",
  "n"."at"
FROM (
  SELECT
    "s"."id",
    "s"."name",
    "s"."at",
    ROW_NUMBER() OVER (PARTITION BY "s"."id", "s"."name", "s"."at" ORDER BY "s"."id") AS "_number",
    "p"."_times"
  FROM "_ematix_staging" AS "s"
  JOIN (
    SELECT
      "t"."id",
      "t"."name",
      "t"."at",
      COUNT(*) AS "_times"
    FROM "orders" AS "t"
    WHERE
      "t"."at" >= :since
    GROUP BY
      "t"."id",
      "t"."name",
      "t"."at"
  ) AS "p"
    ON "s"."id" IS NOT DISTINCT FROM "p"."id"
    AND "s"."name" IS NOT DISTINCT FROM "p"."name"
    AND "s"."at" IS NOT DISTINCT FROM "p"."at"
) AS "n"
WHERE
  "n"."_number" > "n"."_times";

-- drop staging
DROP TABLE "_ematix_staging";
