"use strict";
document.getElementById("main").textContent = "lockbridge";
