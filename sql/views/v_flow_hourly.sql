-- needs: flow_hourly, kkmc_info
SELECT f.kkmc, g.name AS kkmc_name, g.xzqhmc, f.day, f.hour, f.province, f.vehicle_type_name, f.n
FROM flow_hourly f
LEFT JOIN kkmc_info g ON g.kkmc = f.kkmc
