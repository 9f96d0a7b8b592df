"""Moving here: the configuration of other console servers, as `[[line]]` entries."""
