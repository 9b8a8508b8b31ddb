DELETE FROM edge
WHERE origin = ?1 AND run = ?2 AND caller = ?3 AND service = ?4 AND protocol = ?5 AND vantage = ?6
