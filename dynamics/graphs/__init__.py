"""Models of worlds that consist of bodies: graph networks."""
