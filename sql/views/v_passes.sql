-- needs: traffic_data, kkmc_info
SELECT t.id, t.kkmc, g.name AS kkmc_name, t.fxlx, t.gcsj, t.hpzl, t.hphm, t.clppxh, t.xzqhmc,
       t.province, t.is_weekend, t.is_peak_hour, t.vehicle_type_name, g.road, g.stake, g.lon, g.lat
FROM traffic_data t
LEFT JOIN kkmc_info g ON g.kkmc = t.kkmc
