"""Kubernetes distributions behind one protocol; kubeadm is the first."""
