"""The features that the reward model learns from, whose fingerprint goes into every bundle; what an
ad server may read of an element, its product and the cell; and what the champion shows there."""

from ad_views import cell_history, element_content, element_history, product_history, served_policy
from feast import FeatureService

reward_features = FeatureService(name="reward_features", features=[element_history])
serving_features = FeatureService(
    name="serving_features",
    features=[element_history, product_history, cell_history, element_content],
)
served = FeatureService(name="served", features=[served_policy])
