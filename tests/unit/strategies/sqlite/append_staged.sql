-- stage rows | counts staged | into _ematix_staging

-- append | counts inserted | into orders
SELECT
  "id",
  "name",
  "at"
FROM "_ematix_staging";

-- drop staging
DROP TABLE "_ematix_staging";
