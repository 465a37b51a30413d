-- needs: warnings, kkmc_info
SELECT w.alert_id, w.case_id, w.step, w.verdict, w.status, w.severity, w.confidence, w.hphm,
       w.first_kkmc, a.name AS first_kkmc_name, w.first_gcsj,
       w.second_kkmc, b.name AS second_kkmc_name, w.second_gcsj,
       w.gap_seconds, w.rule_version, w.detected_at
FROM warnings w
LEFT JOIN kkmc_info a ON a.kkmc = w.first_kkmc
LEFT JOIN kkmc_info b ON b.kkmc = w.second_kkmc
