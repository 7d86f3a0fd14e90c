"""Tells AI-generated pictures from real ones with ReXNet."""
