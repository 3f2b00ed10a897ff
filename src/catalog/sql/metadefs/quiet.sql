SELECT set_config('vitrine.event_sinks', '', true)
