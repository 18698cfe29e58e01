class PriceBook:
    def __init__(self, p):
        pass

    def load(self):
        pass

    def cost(self, *a, **k):
        return None


class Usage:
    def __init__(self, **k):
        pass


def load_prices(p):
    return p
