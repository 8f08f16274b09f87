package latency

import (
	"strconv"
	"strings"
	"sync"

	"gatehouse/dnslb/geo"
)

// point is a place on the globe, in degrees.
type point struct{ lat, lon float64 }

// pointOf returns where the people of a place are: of its state, or else of
// its country. ok is false for a place that is not known.
func pointOf(p geo.Place) (at point, ok bool) {
	if at, ok = points()[p.Country+"-"+p.Subdivision]; ok {
		return at, true
	}
	at, ok = points()[p.Country]
	return at, ok
}

// points are those of countryPoints.
var points = sync.OnceValue(func() map[string]point {
	all := map[string]point{}
	fields := strings.Fields(countryPoints)
	for i := 0; i+2 < len(fields); i += 3 {
		lat, err1 := strconv.ParseFloat(fields[i+1], 64)
		lon, err2 := strconv.ParseFloat(fields[i+2], 64)
		if err1 != nil || err2 != nil {
			panic("latency: the table of countries: " + fields[i]) // see its test
		}
		all[fields[i]] = point{lat, lon}
	}
	return all
})

// countryPoints has the most populous place of each country, or for the large
// ones a point weighted by where people live; latitude and longitude.
const countryPoints = `
AD 42.5 1.5  AE 25.2 55.3  AF 34.5 69.2  AG 17.1 -61.8  AI 18.2 -63.1  AL 41.3 19.8  AM 40.2 44.5  AO -8.8 13.2
AQ -77.8 166.7  AR -34.6 -58.4  AS -14.3 -170.7  AT 48.2 16.4  AU -33.9 149.0  AW 12.5 -70.0  AX 60.1 19.9  AZ 40.4 49.9
BA 43.9 18.4  BB 13.1 -59.6  BD 23.8 90.4  BE 50.8 4.4  BF 12.4 -1.5  BG 42.7 23.3  BH 26.2 50.6  BI -3.4 29.4
BJ 6.4 2.4  BL 17.9 -62.8  BM 32.3 -64.8  BN 4.9 114.9  BO -17.8 -63.2  BQ 12.2 -68.3  BR -22.0 -46.0  BS 25.1 -77.3
BT 27.5 89.6  BV -54.4 3.4  BW -24.7 25.9  BY 53.9 27.6  BZ 17.5 -88.2  CA 44.5 -79.0  CC -12.2 96.8  CD -4.3 15.3
CF 4.4 18.6  CG -4.3 15.3  CH 47.4 8.5  CI 5.3 -4.0  CK -21.2 -159.8  CL -33.4 -70.7  CM 4.0 9.7  CN 32.0 114.5
CO 4.7 -74.1  CR 9.9 -84.1  CU 23.1 -82.4  CV 14.9 -23.5  CW 12.1 -68.9  CX -10.4 105.7  CY 35.2 33.4  CZ 50.1 14.4
DE 50.8 9.0  DJ 11.6 43.1  DK 55.7 12.6  DM 15.3 -61.4  DO 18.5 -69.9  DZ 36.8 3.1  EC -2.2 -79.9  EE 59.4 24.8
EG 30.0 31.2  EH 27.2 -13.2  ER 15.3 38.9  ES 40.4 -3.7  ET 9.0 38.7  FI 60.2 24.9  FJ -18.1 178.4  FK -51.7 -57.9
FM 6.9 158.2  FO 62.0 -6.8  FR 48.9 2.4  GA 0.4 9.5  GB 51.8 -0.8  GD 12.1 -61.8  GE 41.7 44.8  GF 4.9 -52.3
GG 49.5 -2.5  GH 5.6 -0.2  GI 36.1 -5.4  GL 64.2 -51.7  GM 13.5 -16.6  GN 9.6 -13.6  GP 16.2 -61.5  GQ 3.8 8.8
GR 38.0 23.7  GS -54.3 -36.5  GT 14.6 -90.5  GU 13.4 144.8  GW 11.9 -15.6  GY 6.8 -58.2  HK 22.3 114.2  HM -53.1 73.5
HN 14.1 -87.2  HR 45.8 16.0  HT 18.5 -72.3  HU 47.5 19.0  ID -6.2 106.8  IE 53.3 -6.3  IL 32.1 34.8  IM 54.2 -4.5
IN 19.5 76.0  IO -7.3 72.4  IQ 33.3 44.4  IR 35.7 51.4  IS 64.1 -21.9  IT 45.0 9.7  JE 49.2 -2.1  JM 18.0 -76.8
JO 31.9 35.9  JP 35.7 139.7  KE -1.3 36.8  KG 42.9 74.6  KH 11.6 104.9  KI 1.3 173.0  KM -11.7 43.3  KN 17.3 -62.7
KP 39.0 125.8  KR 37.6 127.0  KW 29.4 48.0  KY 19.3 -81.4  KZ 43.2 76.9  LA 18.0 102.6  LB 33.9 35.5  LC 14.0 -61.0
LI 47.1 9.5  LK 6.9 79.9  LR 6.3 -10.8  LS -29.3 27.5  LT 54.7 25.3  LU 49.6 6.1  LV 56.9 24.1  LY 32.9 13.2
MA 33.6 -7.6  MC 43.7 7.4  MD 47.0 28.9  ME 42.4 19.3  MF 18.1 -63.1  MG -18.9 47.5  MH 7.1 171.4  MK 42.0 21.4
ML 12.6 -8.0  MM 16.8 96.2  MN 47.9 106.9  MO 22.2 113.5  MP 15.2 145.7  MQ 14.6 -61.1  MR 18.1 -15.9  MS 16.7 -62.2
MT 35.9 14.5  MU -20.2 57.5  MV 4.2 73.5  MW -14.0 33.8  MX 19.4 -99.1  MY 3.1 101.7  MZ -26.0 32.6  NA -22.6 17.1
NC -22.3 166.4  NE 13.5 2.1  NF -29.0 168.0  NG 6.5 3.4  NI 12.1 -86.3  NL 52.2 4.9  NO 59.9 10.8  NP 27.7 85.3
NR -0.5 166.9  NU -19.1 -169.9  NZ -36.8 174.8  OM 23.6 58.4  PA 9.0 -79.5  PE -12.0 -77.0  PF -17.5 -149.6  PG -9.4 147.2
PH 14.6 121.0  PK 28.0 69.5  PL 52.2 21.0  PM 46.8 -56.2  PN -25.1 -130.1  PR 18.4 -66.1  PS 31.5 34.5  PT 38.7 -9.1
PW 7.3 134.5  PY -25.3 -57.6  QA 25.3 51.5  RE -20.9 55.5  RO 44.4 26.1  RS 44.8 20.5  RU 55.8 40.0  RW -1.9 30.1
SA 24.7 46.7  SB -9.4 160.0  SC -4.6 55.5  SD 15.5 32.5  SE 59.3 18.1  SG 1.4 103.8  SH -15.9 -5.7  SI 46.1 14.5
SJ 78.2 15.6  SK 48.1 17.1  SL 8.5 -13.2  SM 43.9 12.5  SN 14.7 -17.5  SO 2.0 45.3  SR 5.9 -55.2  SS 4.9 31.6
ST 0.3 6.7  SV 13.7 -89.2  SX 18.0 -63.1  SY 33.5 36.3  SZ -26.3 31.1  TC 21.8 -72.3  TD 12.1 15.0  TF -49.4 70.2
TG 6.1 1.2  TH 13.8 100.5  TJ 38.6 68.8  TK -9.2 -171.8  TL -8.6 125.6  TM 37.9 58.4  TN 36.8 10.2  TO -21.1 -175.2
TR 41.0 29.0  TT 10.7 -61.5  TV -8.5 179.2  TW 25.0 121.5  TZ -6.8 39.3  UA 50.4 30.5  UG 0.3 32.6  UM 19.3 166.6
US 39.0 -83.0  UY -34.9 -56.2  UZ 41.3 69.2  VA 41.9 12.5  VC 13.2 -61.2  VE 10.5 -66.9  VG 18.4 -64.6  VI 18.3 -64.9
VN 10.8 106.7  VU -17.7 168.3  WF -13.3 -176.2  WS -13.8 -171.8  XK 42.7 21.2  YE 15.4 44.2  YT -12.8 45.2  ZA -26.2 28.0
ZM -15.4 28.3  ZW -17.8 31.0
AU-ACT -35.3 149.1  AU-NSW -33.9 151.2  AU-NT -12.5 130.8  AU-QLD -27.5 153.0  AU-SA -34.9 138.6  AU-TAS -42.9 147.3
AU-VIC -37.8 145.0  AU-WA -31.9 115.9
CA-AB 51.0 -114.1  CA-BC 49.3 -123.1  CA-MB 49.9 -97.1  CA-NB 46.1 -64.8  CA-NL 47.6 -52.7  CA-NS 44.6 -63.6
CA-NT 62.5 -114.4  CA-NU 63.7 -68.5  CA-ON 43.7 -79.4  CA-PE 46.2 -63.1  CA-QC 45.5 -73.6  CA-SK 52.1 -106.7  CA-YT 60.7 -135.1
US-AK 61.2 -149.9  US-AL 33.5 -86.8  US-AR 34.7 -92.3  US-AZ 33.4 -112.1  US-CA 35.5 -119.5  US-CO 39.7 -105.0
US-CT 41.3 -72.9  US-DC 38.9 -77.0  US-DE 39.7 -75.5  US-FL 27.8 -81.6  US-GA 33.7 -84.4  US-HI 21.3 -157.9
US-IA 41.6 -93.6  US-ID 43.6 -116.2  US-IL 41.9 -87.6  US-IN 39.8 -86.2  US-KS 38.5 -96.0  US-KY 38.2 -85.8
US-LA 30.0 -90.1  US-MA 42.4 -71.1  US-MD 39.3 -76.6  US-ME 43.7 -70.3  US-MI 42.3 -83.0  US-MN 45.0 -93.3
US-MO 38.6 -91.5  US-MS 32.3 -90.2  US-MT 45.8 -108.5  US-NC 35.5 -79.8  US-ND 46.9 -96.8  US-NE 41.3 -96.0
US-NH 43.0 -71.5  US-NJ 40.7 -74.2  US-NM 35.1 -106.7  US-NV 36.2 -115.1  US-NY 40.7 -74.0  US-OH 40.0 -83.0
US-OK 35.5 -97.5  US-OR 45.5 -122.7  US-PA 40.2 -76.5  US-RI 41.8 -71.4  US-SC 34.0 -81.0  US-SD 43.5 -96.7
US-TN 36.0 -87.0  US-TX 31.0 -97.0  US-UT 40.8 -111.9  US-VA 37.9 -77.5  US-VT 44.5 -73.2  US-WA 47.6 -122.3
US-WI 43.0 -88.5  US-WV 38.3 -81.6  US-WY 41.1 -104.8
`
