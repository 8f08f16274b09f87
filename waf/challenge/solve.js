
(function () {
"use strict";

// Language and objects of 2009 only, so that old browsers pass as well. The
// hash is our own: crypto.subtle is missing over plain HTTP, and for short
// texts it is slower.

var main = document.getElementById("challenge");
var token = main.getAttribute("data-token");
var cookie = main.getAttribute("data-cookie");
var difficulty = Number(main.getAttribute("data-difficulty"));
var lifetime = main.getAttribute("data-lifetime");
var solveTime = 1000 * Number(main.getAttribute("data-solve-time"));

function show(id, on) { document.getElementById(id).hidden = !on; }

function stop(text) {
  show("working", false);
  show("again", true);
  document.getElementById("status").textContent = text;
}

// SHA-256 (FIPS 180-4).

var K = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
];
var START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

// compress gives the state after one more block; w has its 16 words and room
// for 64.
function compress(state, w) {
  var a = state[0], b = state[1], c = state[2], d = state[3];
  var e = state[4], f = state[5], g = state[6], h = state[7];
  for (var i = 0; i < 64; i++) {
    if (i >= 16) {
      var x = w[i - 15], y = w[i - 2];
      w[i] = (w[i - 16] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
        w[i - 7] + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10)) | 0;
    }
    var t = (h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[i] + w[i]) | 0;
    var u = (((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c)) | 0;
    h = g; g = f; f = e; e = (d + t) | 0;
    d = c; c = b; b = a; a = (t + u) | 0;
  }
  return [state[0] + a | 0, state[1] + b | 0, state[2] + c | 0, state[3] + d | 0,
    state[4] + e | 0, state[5] + f | 0, state[6] + g | 0, state[7] + h | 0];
}

// words reads 64 bytes of text, and zeros where it is shorter.
function words(text) {
  var w = [];
  for (var i = 0; i < 64; i++) {
    w[i] = 0;
  }
  for (var j = 0; j < text.length && j < 64; j++) {
    w[j >> 2] |= text.charCodeAt(j) << 24 - 8 * (j & 3);
  }
  return w;
}

// The text is "token.nonce", 76 + 1 + 8 characters: the first 64 are the same
// every time, and the nonce is in words 3 to 5 of the second block.
var first = compress(START, words(token.slice(0, 64)));
var rest = words(token.slice(64) + ".");
rest[15] = 8 * (token.length + 9);
var HEX = "0123456789abcdef";

function nonceText(n) {
  var text = "";
  for (var shift = 28; shift >= 0; shift -= 4) {
    text += HEX.charAt(n >>> shift & 15);
  }
  return text;
}

function digit(n, shift) {
  var d = n >>> shift & 15;
  return d < 10 ? 48 + d : 87 + d;
}

function solves(n) {
  rest[3] = 46 << 24 | digit(n, 28) << 16 | digit(n, 24) << 8 | digit(n, 20);
  rest[4] = digit(n, 16) << 24 | digit(n, 12) << 16 | digit(n, 8) << 8 | digit(n, 4);
  rest[5] = digit(n, 0) << 24 | 0x80 << 16;
  return compress(first, rest)[0] >>> 32 - difficulty === 0;
}

// A page that comes again and again has a reason that trying does not cure.
function tooOften() {
  var now = new Date().getTime(), times = [];
  try {
    var kept = (window.sessionStorage.getItem(cookie) || "").split(",");
    for (var i = 0; i < kept.length; i++) {
      if (kept[i] && now - Number(kept[i]) < 60000) {
        times.push(kept[i]);
      }
    }
    times.push(String(now));
    window.sessionStorage.setItem(cookie, times.slice(-5).join(","));
  } catch (e) {
    return false;
  }
  return times.length >= 5;
}

function finish(n) {
  var value = token + "." + nonceText(n);
  document.cookie = cookie + "=" + value + "; Path=/; SameSite=Lax; Max-Age=" + lifetime +
    (location.protocol === "https:" ? "; Secure" : "");
  if (document.cookie.indexOf(value) < 0) {
    stop("Your browser did not keep the cookie. Please allow cookies for this site" +
      (location.protocol === "https:" ? "" : ", or open it by its https address") + ", then try again.");
    return;
  }
  if (tooOften()) {
    stop("The check was passed, but the site keeps asking for it. Perhaps your network address changes with every " +
      "request, as with some proxies and privacy services. Please turn those off for this site, then try again.");
    return;
  }
  location.reload();
}

var began = new Date().getTime();
var next = 0;

// work tries for a moment, then lets the browser breathe; less often where
// nobody sees it, as timers are slow there.
function work() {
  var until = new Date().getTime() + (document.hidden ? 500 : 30);
  do {
    for (var i = 0; i < 256; i++) {
      if (solves(next++)) {
        finish(next - 1);
        return;
      }
    }
  } while (new Date().getTime() < until);
  if (new Date().getTime() - began > solveTime) {
    stop("The check took too long. Please try again.");
    return;
  }
  setTimeout(work, 0);
}

document.getElementById("again").onclick = function () { location.reload(); };
if (navigator.cookieEnabled === false) {
  stop("Your browser keeps no cookies. Please allow them for this site, then try again.");
} else {
  show("working", true);
  setTimeout(work, 0);
}
})();
