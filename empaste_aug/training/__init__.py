"""What a training run with EM-Paste needs beside the adapters."""
