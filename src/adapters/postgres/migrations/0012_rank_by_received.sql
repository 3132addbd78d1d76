-- Up Migration

-- To rank ads by any other count than valid clicks: of none an ad has more than of all together.
create index ad_day_received on ad_day ((valid + repeat + givt + sivt + defective + test) desc);
