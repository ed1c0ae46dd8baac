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

-- check events are unique
SELECT
  "id",
  "at",
  COUNT(*) AS "rows"
FROM (
  SELECT DISTINCT
    "id",
    "name",
    "at",
    "row_hash",
    "_deleted"
  FROM "_ematix_staging"
) AS "d"
GROUP BY
  "id",
  "at"
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

-- find stored versions
CREATE TEMPORARY TABLE "_ematix_staging_stored" AS
SELECT
  "t"."id",
  "t"."name",
  "t"."at",
  "t"."row_hash",
  "t"."valid_from",
  "t"."valid_to"
FROM "orders" AS "t"
JOIN (
  SELECT
    "id",
    MIN("at") AS "_since"
  FROM "_ematix_staging"
  GROUP BY
    "id"
) AS "f"
  ON "t"."id" = "f"."id"
WHERE
  "t"."valid_to" IS NULL OR "t"."valid_to" >= "f"."_since";

-- find affected keys
CREATE TEMPORARY TABLE "_ematix_staging_affected" AS
SELECT DISTINCT
  "s"."id"
FROM "_ematix_staging" AS "s"
LEFT JOIN "_ematix_staging_stored" AS "o"
  ON "o"."id" = "s"."id"
  AND "o"."valid_from" <= "s"."at"
  AND (
    "o"."valid_to" IS NULL OR "s"."at" < "o"."valid_to"
  )
WHERE
  CASE
    WHEN COALESCE("s"."_deleted", FALSE)
    THEN NOT "o"."id" IS NULL
    ELSE "o"."id" IS NULL OR (
      "o"."name" IS DISTINCT FROM "s"."name"
    )
  END;

-- make timelines
CREATE TEMPORARY TABLE "_ematix_staging_timeline" AS
SELECT
  "id",
  "name",
  "at",
  "row_hash",
  "_at",
  "_until",
  "_kind",
  "_there",
  CASE
    WHEN "_kind" IN (0) AND "_there" IN (0)
    THEN 1
    WHEN "_kind" IN (0)
    AND (
      "_there" IN (2) AND (
        "_end" IS NULL AND NOT "_until" IS NULL
      )
    )
    THEN 4
    WHEN "_kind" IN (0)
    THEN 3
    WHEN "_kind" IN (1) OR "_end" IS NOT DISTINCT FROM "_until"
    THEN 0
    WHEN "_end" IS NULL AND NOT "_until" IS NULL
    THEN 2
    ELSE 3
  END AS "_write"
FROM (
  SELECT
    "id",
    "name",
    "at",
    "row_hash",
    "_at",
    "_kind",
    "_there",
    "_end",
    LEAD("_at") OVER (PARTITION BY "id" ORDER BY "_at" ASC) AS "_until"
  FROM (
    SELECT
      "id",
      "name",
      "at",
      "row_hash",
      "_at",
      "_kind",
      "_there",
      "_end"
    FROM (
      SELECT
        "id",
        "name",
        "at",
        "row_hash",
        "_at",
        "_kind",
        "_there",
        "_end",
        LAG("name") OVER (PARTITION BY "id" ORDER BY "_at" ASC) AS "_before_0",
        LAG("_kind") OVER (PARTITION BY "id" ORDER BY "_at" ASC) AS "_before_1"
      FROM (
        SELECT
          "id",
          "name",
          "at",
          "row_hash",
          "_at",
          "_kind",
          "_there",
          "_end",
          ROW_NUMBER() OVER (PARTITION BY "id", "_at" ORDER BY "_kind" ASC) AS "_first"
        FROM (
          SELECT
            "s"."id",
            "s"."name",
            "s"."at",
            "s"."row_hash",
            "s"."at" AS "_at",
            CASE WHEN COALESCE("s"."_deleted", FALSE) THEN 1 ELSE 0 END AS "_kind",
            CASE WHEN NOT "o"."id" IS NULL THEN 2 WHEN NOT "n"."id" IS NULL THEN 1 ELSE 0 END AS "_there",
            "o"."valid_to" AS "_end"
          FROM "_ematix_staging" AS "s"
          JOIN "_ematix_staging_affected" AS "a"
            ON "a"."id" = "s"."id"
          LEFT JOIN "_ematix_staging_stored" AS "o"
            ON (
              "o"."id" = "s"."id" AND "o"."valid_from" = "s"."at"
            )
            AND (
              "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
            )
          LEFT JOIN (
            SELECT DISTINCT
              "o"."id",
              "o"."valid_from"
            FROM "_ematix_staging_stored" AS "o"
            WHERE
              NOT (
                "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
              )
          ) AS "n"
            ON "n"."id" = "s"."id" AND "n"."valid_from" = "s"."at"
          WHERE
            (
              "o"."id" IS NULL
              OR (
                "o"."name" IS DISTINCT FROM "s"."name"
              )
              OR COALESCE("s"."_deleted", FALSE)
            )
          UNION ALL
          SELECT
            "o"."id",
            "o"."name",
            "o"."at",
            "o"."row_hash",
            "o"."valid_from" AS "_at",
            2 AS "_kind",
            2 AS "_there",
            "o"."valid_to" AS "_end"
          FROM "_ematix_staging_stored" AS "o"
          JOIN "_ematix_staging_affected" AS "a"
            ON "a"."id" = "o"."id"
          WHERE
            (
              "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
            )
          UNION ALL
          SELECT
            "o"."id",
            "o"."name",
            "o"."at",
            "o"."row_hash",
            "o"."valid_to" AS "_at",
            3 AS "_kind",
            0 AS "_there",
            "o"."valid_to" AS "_end"
          FROM "_ematix_staging_stored" AS "o"
          JOIN "_ematix_staging_affected" AS "a"
            ON "a"."id" = "o"."id"
          WHERE
            (
              "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
            )
            AND NOT "o"."valid_to" IS NULL
        ) AS "e"
      ) AS "k"
      WHERE
        "_first" IN (1)
    ) AS "c"
    WHERE
      NOT (
        "_kind" IN (0, 2)
        AND (
          NOT "_before_1" IS NULL AND "_before_1" IN (0, 2)
        )
        AND "name" IS NOT DISTINCT FROM "_before_0"
      )
      AND (
        "_kind" IN (0, 2, 3)
        OR "_there" IN (2)
        OR (
          NOT "_before_1" IS NULL AND "_before_1" IN (0, 2)
        )
      )
  ) AS "d"
) AS "v"
WHERE
  "_kind" IN (0, 1, 2);

-- count | counts applied
SELECT
  COUNT(*)
FROM "_ematix_staging_timeline" AS "l"
WHERE
  "l"."_kind" IN (0);

-- count | counts applied
SELECT
  COUNT(*)
FROM "_ematix_staging_timeline" AS "l"
WHERE
  "l"."_kind" IN (1) AND "l"."_there" IN (2);

-- count | counts applied
SELECT
  COUNT(*)
FROM "_ematix_staging_timeline" AS "l"
WHERE
  "l"."_kind" IN (1)
  AND NOT "l"."_there" IN (2)
  AND NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging_stored" AS "o"
    WHERE
      "o"."id" = "l"."id"
      AND "o"."valid_to" = "l"."_at"
      AND (
        "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
      )
  );

-- remove absorbed versions | counts deleted
DELETE FROM "orders" AS "t"
WHERE
  ("t"."id", "t"."valid_from") IN (
    SELECT
      "o"."id",
      "o"."valid_from"
    FROM "_ematix_staging_stored" AS "o"
    JOIN "_ematix_staging_affected" AS "a"
      ON "a"."id" = "o"."id"
    WHERE
      (
        "o"."valid_to" IS NULL OR "o"."valid_from" < "o"."valid_to"
      )
      AND NOT EXISTS(
        SELECT
          1
        FROM "_ematix_staging_timeline" AS "s"
        WHERE
          (
            "o"."id" = "s"."id" AND "o"."valid_from" = "s"."_at"
          )
          AND "s"."_kind" IN (0, 2)
      )
  )
  AND (
    "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
  );

-- close versions | counts closed
UPDATE "orders" AS "t" SET "valid_to" = "s"."_until", "is_current" = FALSE
FROM "_ematix_staging_timeline" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  )
  AND "s"."_write" IN (2, 4)
  AND "t"."valid_to" IS NULL;

-- correct versions | counts updated
UPDATE "orders" AS "t" SET "name" = "s"."name", "at" = "s"."at", "valid_to" = "s"."_until", "is_current" = "s"."_until" IS NULL, "row_hash" = "s"."row_hash"
FROM "_ematix_staging_timeline" AS "s"
WHERE
  (
    "t"."id" = "s"."id" AND "t"."valid_from" = "s"."_at"
  )
  AND "s"."_write" IN (3, 4)
  AND (
    (
      "t"."valid_to" IS NULL OR "t"."valid_from" < "t"."valid_to"
    )
    OR "s"."_there" IN (1)
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
  "s"."_write" IN (1);

-- drop work table
DROP TABLE "_ematix_staging_stored";

-- drop work table
DROP TABLE "_ematix_staging_affected";

-- drop work table
DROP TABLE "_ematix_staging_timeline";

-- drop staging
DROP TABLE "_ematix_staging";
