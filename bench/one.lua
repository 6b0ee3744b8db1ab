require("flowrun").commands(1):submit{ "true" }:result()
