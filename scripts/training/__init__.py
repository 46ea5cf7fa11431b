"""What training the bundled encoder needs: the classifier, the photographs, and the export."""
