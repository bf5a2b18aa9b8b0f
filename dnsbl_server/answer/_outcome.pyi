# See respond.Outcome for what they mean.
LISTED: int
NOT_LISTED: int
NODATA: int
ANSWERED: int
REFUSED: int
FORMERR: int
NOTIMP: int
BADVERS: int
TRUNCATED: int
SERVFAIL: int
DROPPED: int
OUTCOME_COUNT: int
