SELECT emit_event($1, $2, $3, $4)
