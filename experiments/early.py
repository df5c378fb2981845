"""What a command does before anything else: from here on, Ctrl-C ends it silently.

Nothing is imported for it that Python has not loaded already, and a shell's own wish to ignore
Ctrl-C is heeded.
"""

import _signal

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
