// Everything drawn once, and again when the room or the colours change.

function drawFoot() {
   $("foot").append("Made by flowrun " + (run.run.version || "")
      + ". This page needs no network and sends nothing.");
}

function again() {
   readColours();
   layout();
   drawLine();
   drawUse();
   drawTable(true);
}

function start() {
   drawHead();
   drawCosts();
   drawFailures();
   startBars();
   startTable();
   startLine();
   chooseRows();
   sortTable();
   drawLine();
   drawTable(true);
   drawUse();
   drawFoot();

   let width = window.innerWidth;
   window.addEventListener("resize", () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      again();
   });
   matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
   for (const name of ["beforeprint", "afterprint"]) window.addEventListener(name, again);
   requestAnimationFrame(() => performance.mark("drawn"));
}

start();
