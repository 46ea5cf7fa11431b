"""Pictures beyond memory: what is a sum over positions is added up in any parts."""
