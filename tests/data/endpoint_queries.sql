-- One query a line: the endpoint must answer each as one database with the same rows does.
SELECT COUNT(*), COUNT(DISTINCT hphm), COUNT(DISTINCT kkmc), SUM(is_peak_hour), MIN(gcsj), MAX(gcsj) FROM traffic_data
SELECT COUNT(DISTINCT hphm) FROM traffic_data WHERE province = '江苏'
SELECT province, COUNT(*) n FROM traffic_data GROUP BY province ORDER BY n DESC LIMIT 1
SELECT province, COUNT(*) n FROM traffic_data GROUP BY province ORDER BY n DESC, province LIMIT 3 OFFSET 1
SELECT province, COUNT(DISTINCT hphm) n FROM traffic_data GROUP BY province ORDER BY n DESC, province LIMIT 3
SELECT province, SUM(is_peak_hour) n FROM traffic_data GROUP BY province HAVING n > 500 ORDER BY province
SELECT hphm, COUNT(*) n FROM traffic_data GROUP BY hphm ORDER BY n DESC, hphm LIMIT 2
SELECT gcsj, COUNT(*) n FROM traffic_data GROUP BY gcsj ORDER BY n DESC, gcsj LIMIT 2
SELECT kkmc, COUNT(*) n FROM traffic_data GROUP BY kkmc ORDER BY n DESC, kkmc LIMIT 10
SELECT HOUR(gcsj) h, COUNT(*) FROM traffic_data WHERE gcsj >= '2024-01-12' GROUP BY h ORDER BY h
SELECT DATE(gcsj) d, HOUR(gcsj) h, COUNT(*) n FROM traffic_data GROUP BY d, h ORDER BY n DESC, d, h LIMIT 9
SELECT id, gcsj FROM traffic_data ORDER BY gcsj DESC, id DESC LIMIT 20
SELECT id, gcsj FROM traffic_data ORDER BY gcsj DESC, id DESC LIMIT 20 OFFSET 40
SELECT id FROM traffic_data WHERE gcsj < '2024-01-12' OR (gcsj = '2024-01-12' AND id < 'x') ORDER BY gcsj DESC, id DESC LIMIT 5
SELECT id FROM traffic_data WHERE hphm LIKE '苏C000%' ORDER BY gcsj, id LIMIT 5 OFFSET 3
SELECT id FROM traffic_data WHERE hphm LIKE '%7' AND kkmc IN ('EP_Gate_K1', 'EP_Gate_K2') ORDER BY gcsj, id LIMIT 5
SELECT id FROM traffic_data WHERE id IN ('endpoint-1', 'endpoint-2', 'endpoint-3', 'none') ORDER BY id
SELECT DISTINCT province FROM traffic_data WHERE kkmc IN ('EP_Gate_K0', 'EP_Gate_K2', 'EP_Gate_K3') ORDER BY 1
SELECT t.kkmc, k.name, COUNT(*) n FROM traffic_data t JOIN kkmc_info k ON k.kkmc = t.kkmc WHERE t.gcsj >= '2024-01-12' GROUP BY t.kkmc, k.name ORDER BY n DESC, t.kkmc LIMIT 5
SELECT k.name, t.id FROM traffic_data t LEFT JOIN kkmc_info k ON k.kkmc = t.kkmc ORDER BY t.gcsj DESC, t.id LIMIT 5
SELECT k.kkmc, COUNT(t.id) FROM kkmc_info k LEFT JOIN traffic_data t ON t.kkmc = k.kkmc AND t.gcsj >= '2024-01-16 20:00:00' WHERE k.kkmc LIKE 'EP%' GROUP BY k.kkmc ORDER BY k.kkmc
SELECT COUNT(*) FROM traffic_data WHERE kkmc IN (SELECT kkmc FROM kkmc_info WHERE name LIKE '%K1%')
SELECT COUNT(*) FROM traffic_data a JOIN traffic_data b ON a.hphm = b.hphm AND a.id < b.id WHERE a.gcsj < '2024-01-10 12:00:00' AND a.gcsj >= '2024-01-10'
SELECT kkmc, clppxh FROM traffic_data WHERE kkmc = 'EP_卡口🚗' ORDER BY gcsj, id LIMIT 3
SELECT COUNT(*) FROM traffic_data WHERE kkmc = 'EP_it''s \\ odd'
SELECT COUNT(*) FROM traffic_data WHERE kkmc = 'a gate that nobody knows'
SELECT * FROM traffic_data WHERE kkmc IN ('unknown one', 'unknown two')
SELECT COUNT(*) FROM traffic_data WHERE gcsj > NOW()
SELECT COUNT(*), SUM(is_peak_hour) FROM traffic_data WHERE gcsj >= '2024-01-10' AND (gcsj > '2024-01-11' OR is_weekend >= 1)
SELECT kkmc, HOUR(gcsj) h, COUNT(*) n FROM traffic_data WHERE gcsj >= '2024-01-10' AND (gcsj > '2024-01-12' OR is_peak_hour = 1) GROUP BY kkmc, h ORDER BY kkmc, h
