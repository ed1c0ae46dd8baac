-- remove the old rows | counts deleted | into orders

-- load rows | counts inserted | into orders
