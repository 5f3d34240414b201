-- Key slots: JSON, `{"slots":[...],"version":1}`, as `storage.vault` writes it. A vault from before has none and keeps
-- `custodian` and `parameters` until its first unlock, which empties both: its custodian then holds a slot's secret.
ALTER TABLE vault ADD COLUMN slots TEXT NOT NULL DEFAULT '{"slots":[],"version":1}';
ALTER TABLE vault ADD COLUMN slots_mac BLOB NOT NULL DEFAULT x'';
