package waf

import (
	"strings"
	"testing"

	"gatehouse/config"
)

// blind are the forms in which tools find injections without seeing an
// answer: each goes on from a value of the application's.
var blind = []string{
	" AND 8594 BETWEEN 8594 AND 8594", "' AND 8594 NOT BETWEEN 1 AND 2 AND 'a' LIKE 'a", " AND 8594 IN (8594)", " AND 8594 GLOB 8594", " AND 8594 IS 8594", " AND GREATEST(8594,8595)=8595",
	" && 8594 LIKE 8594", " XOR 8594=8595", " HAVING 8594=8594", "' AND LEAST(8594,8595)=8594 AND 'a'='a", " OR 8594 DIV 1", " AND 8594", " AND NOT 8594", "||8594", "' || 8594 LIKE 8594 || '", " AND 8594 REGEXP 8594", " AND 1=1 LIMIT 1", "*(8594=8594)",
	" AND ISNULL(8594)=0", " AND IFNULL(8594,1)=8594", " AND STRCMP(1,1)=0", " AND LENGTH(version())>1", " AND SUBSTR((SELECT 1),1,1)=1", "'+(SELECT 'a')+'", "'-'", " AND 8594=8594 IS TRUE", " OR EXISTS(SELECT 1)", " AND TRUE", "' OR TRUE--",
	" AND 8594=8594", ") AND 8594=8594 AND (3401=3401", "' AND 8594=8594 AND 'QlTx'='QlTx", "') AND 8594=8594 AND ('QlTx'='QlTx", "%' AND 8594=8594 AND 'QlTx%'='QlTx", "\" AND 8594=8594 AND \"QlTx\"=\"QlTx",
	" OR 1=1-- Zqpw", "' OR NOT 1724=1724#", " AND 1=1 -- -", " RLIKE (SELECT (CASE WHEN (5482=5482) THEN 1 ELSE 0x28 END))", " AND MAKE_SET(1=1,3421)", " AND ELT(4421=4421,3421)", " AND (5421=5421)*3421",
	" AND EXTRACTVALUE(6122,CONCAT(0x5c,0x7178627671,(SELECT (ELT(6122=6122,1))),0x716a6b7671))", "' AND UPDATEXML(1,CONCAT(0x2e,(SELECT version())),1) AND 'a'='a",
	" AND (SELECT 2*(IF((SELECT * FROM (SELECT CONCAT(0x7178627671,(SELECT (ELT(1=1,1))),0x716a6b7671,0x78))s), 8446744073709551610, 8446744073709551610)))",
	" AND GTID_SUBSET(CONCAT(0x71,(SELECT 1),0x71),1)", "' AND 3842=CAST((CHR(113)||CHR(120))||(SELECT (CASE WHEN (3842=3842) THEN 1 ELSE 0 END))::text AS NUMERIC) AND 'a'='a",
	" AND 3842 IN (SELECT (CHAR(113)+CHAR(120)+(SELECT (CASE WHEN (3842=3842) THEN CHAR(49) ELSE CHAR(48) END))))", " AND 3842=CONVERT(INT,(SELECT CHAR(113)+CHAR(120)))",
	"' AND 3842=(SELECT UPPER(XMLType(CHR(60)||CHR(58)||CHR(113))) FROM DUAL) AND 'a'='a", " PROCEDURE ANALYSE(EXTRACTVALUE(1,CONCAT(0x5c,0x71)),1)", ";SELECT SLEEP(5)#", "';SELECT PG_SLEEP(5)--", ";WAITFOR DELAY '0:0:5'--",
	"' AND (SELECT 5521 FROM (SELECT(SLEEP(5)))xYza) AND 'a'='a", " AND SLEEP(5)", "' AND 5421=(SELECT 5421 FROM PG_SLEEP(5)) AND 'a'='a", "' AND 5421=DBMS_PIPE.RECEIVE_MESSAGE(CHR(65)||CHR(66),5) AND 'a'='a",
	" AND 5421=LIKE(CHAR(65,66,67),UPPER(HEX(RANDOMBLOB(500000000/2))))", " ORDER BY 1-- wXyz", "' ORDER BY 10#", " UNION ALL SELECT NULL,NULL,NULL-- -", "' UNION ALL SELECT NULL,CONCAT(0x71,0x78),NULL#", "') UNION SELECT 1,2,3 FROM information_schema.tables-- -",
	" UNION ALL SELECT 4421,4421,4421", "'||(SELECT 0x41 FROM DUAL WHERE 1=1 AND 2=2)||'", "' AND ASCII(SUBSTRING((SELECT password FROM users LIMIT 0,1),1,1))>64 AND 'a'='a", " AND ORD(MID((SELECT IFNULL(CAST(name AS NCHAR),0x20) FROM users),1,1))>64",
}

// TestBlindInjectionsAreStopped continues values with what tools try. Whatever
// the plain rule set stops is stopped.
func TestBlindInjectionsAreStopped(t *testing.T) {
	oneGoroutine(t)
	plain := judgeOf(t, func(*config.RuleSet) {})
	j := balancedJudge(t)
	all, passed := 0, 0
	for _, begin := range []string{"1", "blue shirt", "Great product, works fine"} {
		for _, end := range blind {
			for _, value := range []string{begin + end, begin + strings.ReplaceAll(end, " ", "/**/")} {
				for _, field := range []string{"id", "comment", "query", "password"} {
					r := places[all%len(places)].make(field, value)
					if p := verdict(t, plain, r); !p.Blocked {
						continue
					}
					all++
					if jm := verdict(t, j, r); !jm.Blocked {
						passed++
						t.Errorf("%s=%s passes: score %d of %d,%s", field, value, jm.Score, jm.Unweighed, doubts(&jm))
					}
				}
			}
		}
	}
	t.Logf("%d injections, %d pass", all, passed)
}
