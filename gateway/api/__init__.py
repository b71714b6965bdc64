"""One room per documented API: parse, call, shape the answer."""
