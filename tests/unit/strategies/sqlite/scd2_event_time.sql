-- stage rows | counts staged | into _ematix_staging

-- check keys are present
SELECT
  "id",
  "at"
FROM "_ematix_staging"
WHERE
  (
    "id" IS NULL
  )
LIMIT 5;

-- check event times are present
SELECT
  "id",
  "at"
FROM "_ematix_staging"
WHERE
  (
    "at" IS NULL
  )
LIMIT 5;

-- drop repeated rows
CREATE TEMPORARY TABLE "_ematix_staging_rows" AS
SELECT DISTINCT
  "id",
  "name",
  "at",
  "row_hash"
FROM "_ematix_staging";

-- check keys are unique
CREATE UNIQUE INDEX "_ematix_staging_rows_unique" ON "_ematix_staging_rows"("id", "at");

-- refuse an empty source
SELECT
  1 AS "empty"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging"
  );

-- index
CREATE INDEX "_ematix_staging_keys" ON "_ematix_staging"("id");

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
      "s"."id" = "t"."id"
  )
GROUP BY
  "t"."id"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- find affected keys
CREATE TEMPORARY TABLE "_ematix_staging_affected" AS
SELECT DISTINCT
  "s"."id"
FROM "_ematix_staging_rows" AS "s"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "orders" AS "t"
    WHERE
      "t"."id" = "s"."id"
      AND "t"."valid_from" <= "s"."at"
      AND (
        "t"."valid_to" IS NULL OR "s"."at" < "t"."valid_to"
      )
      AND NOT (
        "t"."name" IS NOT "s"."name"
      )
  );

-- index
CREATE INDEX "_ematix_staging_affected_keys" ON "_ematix_staging_affected"("id");

-- make timelines
CREATE TEMPORARY TABLE "_ematix_staging_timeline" AS
SELECT
  "id",
  "name",
  "at",
  "row_hash",
  "_at",
  "_until",
  "_kind"
FROM (
  SELECT
    "id",
    "name",
    "at",
    "row_hash",
    "_at",
    "_kind",
    LEAD("_at") OVER (PARTITION BY "id" ORDER BY "_at" ASC NULLS LAST) AS "_until"
  FROM (
    SELECT
      "id",
      "name",
      "at",
      "row_hash",
      "_at",
      "_kind"
    FROM (
      SELECT
        "id",
        "name",
        "at",
        "row_hash",
        "_at",
        "_kind",
        LAG("name") OVER (PARTITION BY "id" ORDER BY "_at" ASC NULLS LAST) AS "_before_0",
        LAG("_kind") OVER (PARTITION BY "id" ORDER BY "_at" ASC NULLS LAST) AS "_before_1"
      FROM (
        SELECT
          "id",
          "name",
          "at",
          "row_hash",
          "_at",
          "_kind",
          ROW_NUMBER() OVER (PARTITION BY "id", "_at" ORDER BY "_kind" ASC NULLS LAST) AS "_first"
        FROM (
          SELECT
            "s"."id",
            "s"."name",
            "s"."at",
            "s"."row_hash",
            "s"."at" AS "_at",
            0 AS "_kind"
          FROM "_ematix_staging_rows" AS "s"
          WHERE
            EXISTS(
              SELECT
                1
              FROM "_ematix_staging_affected" AS "a"
              WHERE
                "a"."id" = "s"."id"
            )
            AND NOT EXISTS(
              SELECT
                1
              FROM "orders" AS "t"
              WHERE
                "t"."id" = "s"."id"
                AND "t"."valid_from" = "s"."at"
                AND (
                  "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
                )
                AND NOT (
                  "t"."name" IS NOT "s"."name"
                )
            )
          UNION ALL
          SELECT
            "t"."id",
            "t"."name",
            "t"."at",
            "t"."row_hash",
            "t"."valid_from" AS "_at",
            1 AS "_kind"
          FROM "orders" AS "t"
          WHERE
            EXISTS(
              SELECT
                1
              FROM "_ematix_staging_affected" AS "a"
              WHERE
                "a"."id" = "t"."id"
            )
            AND (
              "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
            )
          UNION ALL
          SELECT
            "t"."id",
            "t"."name",
            "t"."at",
            "t"."row_hash",
            "t"."valid_to" AS "_at",
            2 AS "_kind"
          FROM "orders" AS "t"
          WHERE
            EXISTS(
              SELECT
                1
              FROM "_ematix_staging_affected" AS "a"
              WHERE
                "a"."id" = "t"."id"
            )
            AND (
              "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
            )
            AND NOT "t"."valid_to" IS NULL
        ) AS "e"
      ) AS "k"
      WHERE
        "_first" = 1
    ) AS "c"
    WHERE
      NOT (
        "_kind" <> 2
        AND (
          NOT "_before_1" IS NULL AND "_before_1" <> 2
        )
        AND "name" IS "_before_0"
      )
  ) AS "d"
) AS "v"
WHERE
  "_kind" <> 2;

-- index
CREATE INDEX "_ematix_staging_timeline_keys" ON "_ematix_staging_timeline"("id");

-- count | counts applied
SELECT
  COUNT(*)
FROM "_ematix_staging_timeline"
WHERE
  "_kind" = 0;

-- remove absorbed versions | counts deleted
DELETE FROM "orders" AS "t"
WHERE
  EXISTS(
    SELECT
      1
    FROM "_ematix_staging_affected" AS "a"
    WHERE
      "a"."id" = "t"."id"
  )
  AND (
    "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
  )
  AND NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging_timeline" AS "s"
    WHERE
      "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  );

-- close versions | counts closed
UPDATE "orders" AS "t" SET "valid_to" = "s"."_until", "is_current" = FALSE
FROM "_ematix_staging_timeline" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  )
  AND "t"."valid_to" IS NULL
  AND NOT "s"."_until" IS NULL;

-- correct versions | counts updated
UPDATE "orders" AS "t" SET "name" = "s"."name", "at" = "s"."at", "valid_to" = "s"."_until", "is_current" = "s"."_until" IS NULL, "row_hash" = "s"."row_hash"
FROM "_ematix_staging_timeline" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  )
  AND (
    (
      "t"."name" IS NOT "s"."name"
    ) OR "t"."valid_to" IS NOT "s"."_until"
  );

-- open versions | counts inserted | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  "s"."_at",
  "s"."_until",
  CASE WHEN "s"."_until" IS NULL THEN TRUE ELSE FALSE END,
  "s"."row_hash"
FROM "_ematix_staging_timeline" AS "s"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "orders" AS "t"
    WHERE
      "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  );

-- count | counts applied
SELECT
  COUNT(*)
FROM (
  SELECT
    "id",
    "name",
    "at",
    "row_hash",
    ROW_NUMBER() OVER (PARTITION BY "id" ORDER BY "at" DESC) AS "_rank"
  FROM "_ematix_staging"
) AS "s"
WHERE
  (
    "s"."_rank" = 1
    AND NOT EXISTS(
      SELECT
        1
      FROM "orders" AS "t"
      WHERE
        "t"."id" = "s"."id" AND "t"."is_current"
    )
  )
  AND NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging_timeline" AS "l"
    WHERE
      "l"."id" = "s"."id" AND "l"."_at" = "s"."at" AND "l"."_kind" = 0
  );

-- open versions | counts inserted | binds load_time | into orders
SELECT
  "s"."id",
  "s"."name",
  "s"."at",
  CASE
    WHEN (
      SELECT
        MAX("t"."valid_to")
      FROM "orders" AS "t"
      WHERE
        "t"."id" = "s"."id"
    ) > :load_time
    THEN (
      SELECT
        MAX("t"."valid_to")
      FROM "orders" AS "t"
      WHERE
        "t"."id" = "s"."id"
    )
    ELSE :load_time
  END,
  NULL,
  TRUE,
  "s"."row_hash"
FROM (
  SELECT
    "id",
    "name",
    "at",
    "row_hash",
    ROW_NUMBER() OVER (PARTITION BY "id" ORDER BY "at" DESC) AS "_rank"
  FROM "_ematix_staging"
) AS "s"
WHERE
  "s"."_rank" = 1
  AND NOT EXISTS(
    SELECT
      1
    FROM "orders" AS "t"
    WHERE
      "t"."id" = "s"."id" AND "t"."is_current"
  );

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

-- drop work table
DROP TABLE "_ematix_staging_rows";

-- drop work table
DROP TABLE "_ematix_staging_affected";

-- drop work table
DROP TABLE "_ematix_staging_timeline";

-- drop staging
DROP TABLE "_ematix_staging";
