"""What the hostile harnesses share: how input is damaged, which texts are odd, where they go."""
