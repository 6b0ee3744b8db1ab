-- hello.lua: what a user of server.c might send.
local flow = require("flowrun")
local name = ...
return flow.native("greeting")(name)
