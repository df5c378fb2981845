def draw(*a): return None
def page(*a): return ''
def make_apart(*a): return None
