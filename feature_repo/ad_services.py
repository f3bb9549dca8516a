"""The features that the reward model learns from; its fingerprint goes into every bundle."""

from ad_views import element_history, product_history
from feast import FeatureService

reward_features = FeatureService(name="reward_features", features=[element_history])
serving_features = FeatureService(
    name="serving_features", features=[element_history, product_history]
)
