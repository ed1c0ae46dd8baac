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

-- check the target's keys
SELECT
  "t"."id"
FROM "orders" AS "t"
WHERE
  "t"."is_current"
  AND EXISTS(
    SELECT
      1
    FROM "_ematix_staging" AS "s"
    WHERE
      "s"."id" = "t"."id" AND "s"."rowid" >= :part_begin AND "s"."rowid" < :part_end
  )
GROUP BY
  "t"."id"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- close versions | counts closed | binds load_time
UPDATE "orders" AS "t" SET "valid_to" = CASE WHEN "t"."valid_from" < :load_time THEN :load_time ELSE "t"."valid_from" END, "is_current" = FALSE
FROM "_ematix_staging" AS "s"
WHERE
  (
    (
      "t"."id" = "s"."id" AND "t"."is_current"
    )
    AND "s"."rowid" >= :part_begin
    AND "s"."rowid" < :part_end
  )
  AND COALESCE("s"."_deleted", FALSE);

-- close versions | counts closed | binds load_time
UPDATE "orders" AS "t" SET "valid_to" = CASE WHEN "t"."valid_from" < :load_time THEN :load_time ELSE "t"."valid_from" END, "is_current" = FALSE
FROM "_ematix_staging" AS "s"
WHERE
  (
    (
      "t"."id" = "s"."id" AND "t"."is_current"
    )
    AND "s"."rowid" >= :part_begin
    AND "s"."rowid" < :part_end
  )
  AND (
    "t"."name" IS DISTINCT FROM "s"."name" OR "t"."at" IS DISTINCT FROM "s"."at"
  )
  AND NOT COALESCE("s"."_deleted", FALSE);

-- open versions | counts inserted | binds load_time | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  :load_time,
  NULL,
  TRUE,
  "s"."row_hash"
FROM "_ematix_staging" AS "s"
WHERE
  (
    NOT EXISTS(
      SELECT
        1
      FROM "orders" AS "t"
      WHERE
        "t"."id" = "s"."id" AND "t"."is_current"
    )
    AND "s"."rowid" >= :part_begin
    AND "s"."rowid" < :part_end
  )
  AND NOT COALESCE("s"."_deleted", FALSE);

-- drop staging
DROP TABLE "_ematix_staging";
