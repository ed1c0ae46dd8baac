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
    "row_hash"
  FROM "_ematix_staging"
) AS "d"
GROUP BY
  "id",
  "at"
HAVING
  COUNT(*) > 1
LIMIT 5;

-- refuse an empty source
SELECT
  1 AS "empty"
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM "_ematix_staging"
  );

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
  "o"."id" IS NULL OR (
    "o"."name" IS DISTINCT FROM "s"."name"
  );

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
            0 AS "_kind",
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
              "o"."id" IS NULL OR (
                "o"."name" IS DISTINCT FROM "s"."name"
              )
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
      (
        "l"."id" = "s"."id" AND "l"."_at" = "s"."at"
      ) AND "l"."_kind" IN (0)
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
DROP TABLE "_ematix_staging_stored";

-- drop work table
DROP TABLE "_ematix_staging_affected";

-- drop work table
DROP TABLE "_ematix_staging_timeline";

-- drop staging
DROP TABLE "_ematix_staging";
