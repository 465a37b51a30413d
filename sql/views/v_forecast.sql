-- needs: flow_forecast, kkmc_info
SELECT f.kkmc, g.name AS kkmc_name, f.day, f.hour, f.predicted, f.low, f.high, f.model_version,
       f.published_at
FROM flow_forecast f
LEFT JOIN kkmc_info g ON g.kkmc = f.kkmc
