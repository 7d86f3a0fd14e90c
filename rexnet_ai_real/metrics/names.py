"""What each metric is called where people read it."""

SAID = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision of “AI”",
    "recall": "Recall: AI images found (TPR)",
    "specificity": "Specificity: real images left alone (TNR)",
    "f1": "F1 of the AI class",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "nll": "Log loss (nats)",
    "brier": "Brier score",
    "ece": "Calibration error (ECE, 15 bins)",
    "ece_balanced": "Calibration error, classes balanced",
    "equal_error_rate": "Equal error rate",
    "tpr_at_fpr5": "AI images found at 5% false alarms",
    "tpr_at_fpr1": "AI images found at 1% false alarms",
}
