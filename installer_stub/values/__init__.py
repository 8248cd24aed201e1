"""Values: what a bundle lets a site decide. The bundle's schema declares them, a site gives them, CMDs and charts see them."""
