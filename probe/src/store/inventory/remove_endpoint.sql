DELETE FROM endpoint
WHERE origin = ?1 AND run = ?2 AND service = ?3 AND protocol = ?4 AND vantage = ?5 AND path = ?6 AND method = ?7
    AND operation = ?8
