"""What a page shows beside figures: sliders, quiz, tables, viewer; and notebooks as source code."""
